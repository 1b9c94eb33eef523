-- Reserves starts for calls under one label of one account: one GCRA with a burst of 1, shared by every process.
--
-- KEYS[1]  the label's state: hash of tat (the next free start), until (the pause's end), epoch, streak;
--          times in microseconds of Redis' clock
-- ARGV[1]  how many starts are wanted, at least 1
-- ARGV[2]  microseconds between two starts; 0 where the label is not paced
-- ARGV[3]  how many microseconds ahead a start may lie
-- ARGV[4]  the time now in microseconds; empty in production: Redis' own
-- Reply    {epoch, wait, start, start, ...}: the starts as microseconds from now, earliest first; where there is none,
--          `wait` says after how many microseconds to ask again
-- Keeps    no start is given out twice; two starts are never closer than the spacing; none lies in a pause; the state
--          is gone by itself a minute after it stopped to matter. The epoch never goes back: state that was gone begins
--          with the time.
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local wanted, spacing, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tat', 'until', 'epoch')
local tat, paused, epoch = tonumber(state[1]) or 0, tonumber(state[2]) or 0, tonumber(state[3])
local text = function(number) return string.format('%.0f', number) end
if not epoch then
  epoch = now
  redis.call('HSET', KEYS[1], 'epoch', text(epoch))
  redis.call('PEXPIRE', KEYS[1], 60000)
end
if paused > now then
  return { text(epoch), text(paused - now) }
end
local next = math.max(tat, now)
local starts = {}
while #starts < wanted and next - now <= horizon do
  starts[#starts + 1] = text(next - now)
  next = next + spacing
end
if #starts == 0 then
  return { text(epoch), text(math.max(next - now - math.floor(horizon / 2), 1000)) }
end
if spacing > 0 then
  redis.call('HSET', KEYS[1], 'tat', text(next))
end
redis.call('PEXPIRE', KEYS[1], 60000 + math.floor((next - now) / 1000))
return { text(epoch), '0', unpack(starts) }
