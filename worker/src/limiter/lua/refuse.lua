-- Takes note of a refusal: every process holds back the label's calls, permits already handed out included, and the rate
-- is cut.
--
-- KEYS[1]  the label's state, as in adapt.lua
-- ARGV[1]  the wait that the vendor named, in microseconds; empty where it named none
-- ARGV[2]  the epoch of the refused call's permit
-- ARGV[3]  1 where a call has gone through since the last pause, else 0
-- ARGV[4]  the first wait without a named one, in microseconds
-- ARGV[5]  the longest wait without a named one
-- ARGV[6]  a refusal so many microseconds after a pause is the first again
-- ARGV[7]  the channel that tells the others
-- ARGV[8]  the label, as it is told
-- ARGV[9]  calls a second without any refusal; 0 where the refusal says nothing about the rate, or there is none
-- ARGV[10] the time now in microseconds; empty in production: Redis' own
-- Reply    {epoch, left, rate}: the pause in force, `left` microseconds from now (0: none), and the rate in thousandths
-- Keeps    a pause is never shortened; calls that went out together count as one refusal; the epoch grows with every
--          pause; starts reserved before it are free again. The same rules as pause.rs and lane.rs.
local now = clock(ARGV[10])
local lane = read(KEYS[1])
local paused, epoch, full = lane['until'], lane.epoch, tonumber(ARGV[9])
local said, given, accepted = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local function answer()
  local rate = (full > 0) and math.floor(rate_of(lane, now, full) * 1000) or 0
  return { whole(lane.epoch), whole(math.max(lane['until'] - now, 0)), whole(rate) }
end
local ends
if said then
  lane.streak = 0
  ends = now + said
elseif given < epoch then
  return answer()
else
  if paused > 0 and not accepted and math.max(now - paused, 0) <= tonumber(ARGV[6]) then
    lane.streak = lane.streak + 1
  else
    lane.streak = 0
  end
  ends = now + math.min(tonumber(ARGV[4]) * 2 ^ math.min(lane.streak, 20), tonumber(ARGV[5]))
end
redis.call('HSET', KEYS[1], 'streak', whole(lane.streak))
if ends > paused then
  if full > 0 and given >= epoch then
    learn_refusal(lane, now, full, math.max(now - paused, 0), accepted, said or 0)
    redis.call('HSET', KEYS[1], 'level', exact(lane.level), 'refused_at', exact(lane.refused_at), 'since', '0',
      'stay', exact(lane.stay))
  end
  lane['until'], lane.epoch, lane.last = ends, math.max(now, epoch + 1), 0
  redis.call('HSET', KEYS[1], 'until', whole(ends), 'epoch', whole(lane.epoch), 'last', '0')
  redis.call('PUBLISH', ARGV[7], ARGV[8] .. ' ' .. whole(lane.epoch) .. ' ' .. whole(ends - now))
end
keep(KEYS[1], lane, lane['until'] - now)
return answer()
