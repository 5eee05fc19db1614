-- wrk: BODY names the file of the body, HEADERS holds "Name: value" lines, PAUSE is milliseconds
-- between an answer and the connection's next request. The last line printed is JSON.
wrk.method = "POST"
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.body = file:read("*a")
file:close()
for line in (os.getenv("HEADERS") or ""):gmatch("[^\n]+") do
  local name, value = line:match("^([^:]+):%s*(.*)$")
  wrk.headers[name] = value
end
local pause = tonumber(os.getenv("PAUSE") or "0")
if pause > 0 then
  function delay() return math.random(0, 2 * pause) end
end
done = function(summary, latency, _)
  local e = summary.errors
  print(string.format(
    '{"us": %d, "n": %d, "refused": %d, "failed": %d, "p50": %.0f, "p99": %.0f}',
    summary.duration, summary.requests, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
