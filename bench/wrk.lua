-- Requests of many callers, one after the other: BENCH_REQUESTS names a file of them, each as
-- "method path nheaders nbytes\n", its header lines, then the body.
local requests = {}
local at = 0

function init(args)
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  while true do
    local line = file:read("*l")
    if not line then break end
    local path, count, size = line:match("^(%S+) (%d+) (%d+)$")
    local headers = {}
    for _ = 1, tonumber(count) do
      local name, value = file:read("*l"):match("^([^:]+): (.*)$")
      headers[name] = value
    end
    requests[#requests + 1] = wrk.format("POST", path, headers, file:read(tonumber(size)))
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"bytes":%d,"duration_us":%d,"failed":%d,"p50_us":%d,"p99_us":%d}',
    summary.requests, summary.bytes, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
