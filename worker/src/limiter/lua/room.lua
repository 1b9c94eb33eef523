-- Takes note of what the vendor says about the calls it would still have taken.
--
-- KEYS[1]  the label's state, as in adapt.lua
-- ARGV[1]  the least room told in the last second
-- ARGV[2]  calls a second without any refusal
-- ARGV[3]  the time now in microseconds; empty in production: Redis' own
-- Reply    the rate in thousandths of a call a second
-- Keeps    acted on once a second over all processes, and never above the full rate
local now, full = clock(ARGV[3]), tonumber(ARGV[2])
local lane = read(KEYS[1])
if learn_room(lane, now, full, tonumber(ARGV[1])) then
  redis.call('HSET', KEYS[1], 'level', exact(lane.level), 'stay', exact(lane.stay), 'since', whole(lane.since),
    'room_at', whole(lane.room_at))
  keep(KEYS[1], lane, math.max(lane.last, lane['until']) - now)
end
return whole(math.floor(rate_of(lane, now, full) * 1000))
