-- Takes note of a refusal: every process holds back the label's calls, permits already handed out included.
--
-- KEYS[1]  the label's state, as in reserve.lua
-- ARGV[1]  the wait that the vendor named, in microseconds; empty where it named none
-- ARGV[2]  the epoch of the refused call's permit
-- ARGV[3]  1 where a call has gone through since the last pause, else 0
-- ARGV[4]  the first wait without a named one, in microseconds
-- ARGV[5]  the longest wait without a named one
-- ARGV[6]  a refusal so many microseconds after a pause is the first again
-- ARGV[7]  the channel that tells the others
-- ARGV[8]  the label, as it is told
-- ARGV[9]  the time now in microseconds; empty in production: Redis' own
-- Reply    {epoch, left}: the pause in force, `left` microseconds from now (0: none)
-- Keeps    a pause is never shortened; calls that went out together count as one refusal; the epoch grows with every
--          pause; starts reserved before it are free again. The same rule as pause.rs.
local now = tonumber(ARGV[9])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local state = redis.call('HMGET', KEYS[1], 'until', 'epoch', 'streak')
local paused, epoch, streak = tonumber(state[1]) or 0, tonumber(state[2]) or 0, tonumber(state[3]) or 0
local text = function(number) return string.format('%.0f', number) end
local said, given = tonumber(ARGV[1]), tonumber(ARGV[2])
local ends
if said then
  streak = 0
  ends = now + said
elseif given < epoch then
  return { text(epoch), text(math.max(paused - now, 0)) }
else
  if paused > 0 and ARGV[3] ~= '1' and math.max(now - paused, 0) <= tonumber(ARGV[6]) then
    streak = streak + 1
  else
    streak = 0
  end
  ends = now + math.min(tonumber(ARGV[4]) * 2 ^ math.min(streak, 20), tonumber(ARGV[5]))
end
redis.call('HSET', KEYS[1], 'streak', text(streak))
if ends > paused then
  paused, epoch = ends, math.max(now, epoch + 1)
  redis.call('HSET', KEYS[1], 'until', text(paused), 'epoch', text(epoch), 'tat', '0')
  redis.call('PUBLISH', ARGV[7], ARGV[8] .. ' ' .. text(epoch) .. ' ' .. text(paused - now))
end
redis.call('PEXPIRE', KEYS[1], 60000 + math.floor(math.max(paused - now, 0) / 1000))
return { text(epoch), text(math.max(paused - now, 0)) }
