/** The key that signs Juju's agent streams at streams.canonical.com, as Juju has it too, without its subkey, which only encrypts. */

import { readSigningKeyLine, type SigningKey } from "./clearsigned.ts";

const KEY = [
  "mQINBFJN1n8BEAC1vt2w08Y4ztJrv3maOycMezBb7iUs6DLH8hOZoqRO9EW9558W8CN6G4sVbC/nIhivvn/paw0gSicfYXGs5teCJL3ShrcsGkhTs+5q7UO2TVGA",
  "UPwbCFWCqPkCB/+CiQ/fnEAWV5c11KzMTBtQ2nfJFS8rEQfc2PJMKqd/Y+LDItOc5E5YSseGT/60coyTZO0iE3mKv1osFjSJlUv/6f/ziHGgV+IowOtEeeaEz8H/",
  "oU4vHhyATHL/k9DSNb0I/+aI8R84OB7EqrQ/ck6B6+CTbwGwkQUBK6z/Isl3uq9MhGjsiPjyEfOJNTfa+knlQcedc3/2S/jTUBDxU+myga9gQ2jF4oEzb74LarpV",
  "4y1KXpsqyLwd8/vpNG5rTLtjZ3ZTJu7EkAra6pNK/Uxj9guIkCIGIVS1SWtsR0mCY+6TOdfJu7btqOcSWkp3gaYcnCid8ecZuD8KDcxJscdYBetxCV4TLVV5CwO4",
  "MMVkxcI3zL1ORzHSj0W+aYzdtycHu2w8ZQwQRuFB2y5zsxE69MOoS857FzwhRctPSiwIPWH+Qo2BkNAMK5fVc19z9kzgtRP1+rHgBox2w+hOSZiYf0vluaG7NPUs",
  "MfVOGBFTxn1W+rb3NL/mhUoDPl2e2zoViEsaT2p+ATwFDN0DlQLLQxsVIbxdL6cfMQASHmADOHA6dwARAQABtEtKdWp1IFRvb2xzIChDYW5vbmljYWwgSnVqdSBU",
  "b29sIEJ1aWxkZXIpIDxqdWp1LXRvb2xzLW5vcmVwbHlAY2Fub25pY2FsLmNvbT6JAjkEEwEKACMFAlJN1n8CGwMHCwkNCAwHAwUVCgkICwUWAgMBAAIeAQIXgAAK",
  "CRA3j2KvahV9szBED/wOlDTMpevLbYyh+mFaeNBw/mwCdWqpwQkpIRLwxt0al1eV9KIVhu6CK1g1UMZ24H3gy5Btj5N5ga02xgqfQRrP4Mqv2dYZOL5p8WFuZjbo",
  "w9a+e89mqqFuW6/os57cFwZ7Z3imbBDaaWzuzdeWLEK7PfT6rpik6ZMIpI1LGywI93abaZX8v6ouwFeQovXcS0HKt906+ElIoWgSh8dL2hqZ71SR/74sehkEZSYf",
  "QRLa7RJCDvA/iInXeGRuyaheQ1iTrY606aBh+NyOgr4cG+7Sy3FIbqgBx0hxkY8LZv4L7l2IDDjgbTEGILpQ2tkykDnFY7QgEdE45TzPONg9zyk91NRHqjLIm9CF",
  "t8P3rcs+MBjaxv+S45RIHQEu+ewkr6BihnPPldkNeSIi4Z0OTTQfAI0oDkREVFnnOHfzZ8uafHXOnhUYsovZ3YrowoiNXOWRxeOvt5cLXE0Gyq7n8ESe9JOCg3AZ",
  "crDX12xWX+gaSgDaD66fI5xr+A3128BLpYQTMXOpe1n9rfsiA8XBEFsB6+xMJBtSSPUsaWjes/aziI87fBv7FpEMagnWLqJ7xk2E2RR06B9tF+SoiLF3aQ0ZJFqK",
  "pDDYBO5kZkHIql0jVkuPEz5fxTOZjZE4irTZiSMdJ6xsm9AUaxxW8e4pax116l4D2toMJPvXkA9lCZ3RIg==",
].join("");

let read: SigningKey | undefined;

/** Made by Canonical on 2013-10-03; it names no end. */
export function canonicalStreamsKey(): SigningKey {
  read ??= readSigningKeyLine(KEY, "Canonical's key of agent streams");
  return read;
}
