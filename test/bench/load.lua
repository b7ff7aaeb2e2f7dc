-- For wrk: sends the requests of a file in turn, one a line (PATH, or PATH, a tab and the body of a POST), and prints
-- what it measured as JSON. `wrk … -s load.lua URL -- FILE`

local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local path, body = line:match("^(.-)\t(.*)$")
    local headers = { ["User-Agent"] = "Juju/3.6.11", Accept = "application/json" }
    if body then headers["Content-Type"] = "application/json" end
    requests[#requests + 1] = wrk.format(body and "POST" or "GET", path or line, headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"p50":%.0f,"p99":%.0f,"errors":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
