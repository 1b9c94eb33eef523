-- Reserves starts for calls under one label of one account: one GCRA with a burst of 1, shared by every process.
--
-- KEYS[1]  the label's state, as in adapt.lua
-- ARGV[1]  how many starts are wanted, at least 1
-- ARGV[2]  calls a second without any refusal; 0 where the label is not paced
-- ARGV[3]  how many microseconds ahead a start may lie
-- ARGV[4]  the epoch in which a call of the asker's has gone through last; empty where none has
-- ARGV[5]  the time now in microseconds; empty in production: Redis' own
-- ARGV[6]  the epoch of the last pause that the asker heard of; 0 where of none
-- Reply    {epoch, rate, left, wait, start, start, ...}: the rate in thousandths of a call a second; how many microseconds a
--          pause still lasts; the starts as microseconds from now, earliest first; where there is none, `wait` says after
--          how many microseconds to ask again
-- Keeps    no start is given out twice; two starts are never closer than the rate allows; none lies in a pause; the state
--          is gone by itself some time after it stopped to matter. The epoch never goes back: state that was gone begins
--          with the time, and where the server forgot a pause (a crash, a failover), whoever heard of it says so: with
--          permits of an epoch before it nobody would ever start a call again.
local now = clock(ARGV[5])
local wanted, full, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lane = read(KEYS[1])
local changed = {}
if lane.epoch == 0 then
  lane.epoch = now
  changed = { 'epoch', whole(now) }
end
if tonumber(ARGV[6]) > lane.epoch then
  lane.epoch = tonumber(ARGV[6])
  changed = { 'epoch', whole(lane.epoch) }
end
if lane.level > 0 and lane.since == 0 and tonumber(ARGV[4]) == lane.epoch then
  lane.since = now
  changed[#changed + 1], changed[#changed + 2] = 'since', whole(now)
end
local rate = rate_of(lane, now, full)
local left, wait, starts = math.max(lane['until'] - now, 0), 0, {}
if left > 0 then
  wait = left
else
  local period = (full > 0) and math.max(math.ceil(1000000 / rate), 1) or 0
  -- From the last start on, by the rate of now: a change of the rate moves nothing that was given out.
  local next = (lane.last > 0) and math.max(lane.last + period, now) or now
  while #starts < wanted and next - now <= horizon do
    starts[#starts + 1] = whole(next - now)
    next = next + period
  end
  if #starts == 0 then
    wait = math.max(next - now - math.floor(horizon / 2), 1000)
  elseif period > 0 then
    lane.last = next - period
    changed[#changed + 1], changed[#changed + 2] = 'last', whole(lane.last)
  end
end
if #changed > 0 then redis.call('HSET', KEYS[1], unpack(changed)) end
keep(KEYS[1], lane, math.max(lane.last, lane['until']) - now)
return { whole(lane.epoch), whole(math.floor(rate * 1000)), whole(left), whole(wait), unpack(starts) }
