-- Sends the bytes in BENCH_REQUEST again and again; the text @@@@@@@@@@@@ in them becomes a number that is new for
-- every request, counted from BENCH_SEED. Ends with one line that traffic.py reads.
local TOKEN = "@@@@@@@@@@@@"
local raw = assert(os.getenv("BENCH_REQUEST"), "BENCH_REQUEST is not set")
local number = tonumber(os.getenv("BENCH_SEED") or "0")

local parts, at = {}, 1
while true do
  local first, last = raw:find(TOKEN, at, true)
  if not first then break end
  parts[#parts + 1] = raw:sub(at, first - 1)
  at = last + 1
end
parts[#parts + 1] = raw:sub(at)

if #parts == 1 then
  request = function() return raw end
else
  request = function()
    number = number + 1
    return table.concat(parts, string.format("%012d", number))
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'BENCH {"requests":%d,"seconds":%.6f,"rejected":%d,"errors":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
