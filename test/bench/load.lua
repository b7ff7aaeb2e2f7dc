-- For wrk: sends the requests of a file in turn, one a line (PATH, or PATH, a tab and the body of a POST, in which each `#` becomes
-- the number of the request), and prints what it measured as JSON. `wrk … -s load.lua URL -- FILE`

local requests, at, count = {}, 0, 1000000

function init(args)
  for line in io.lines(args[1]) do
    local path, body = line:match("^(.-)\t(.*)$")
    local headers = { ["User-Agent"] = "Juju/3.6.11", Accept = "application/json" }
    if body then headers["Content-Type"] = "application/json" end
    if body then body = body:gsub("#", "#######") end
    requests[#requests + 1] = wrk.format(body and "POST" or "GET", path or line, headers, body)
  end
end

function request()
  at = at % #requests + 1
  count = count + 1
  -- Its number has as many digits each time, so Content-Length stays right.
  return (requests[at]:gsub("#######", count))
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"p50":%.0f,"p99":%.0f,"errors":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
