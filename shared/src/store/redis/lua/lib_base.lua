-- What every script begins with: the account's prefix and the time.
--
-- KEYS[1]  usher:{account}: the account's own hash (token, admission, hold, hold_until) and the prefix of all its
--          other keys, so that all of them carry the same hash tag
-- ARGV[1]  now in ms, or '' in production: then the server's own TIME
local call, floor, match, find, gmatch = redis.call, math.floor, string.match, string.find, string.gmatch
local FS, RS, GS = '\31', '\30', '\29' -- between fields, between a record's parts, before what scripts add to an outcome
local base = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

-- Refusals, as reply.rs reads them.
local LAPSED, NO_RUN, WRONG_PHASE, TAKEN, INCOMPLETE, CONFLICT, NO_JOB = -1, -2, -3, -4, -5, -6, -7

-- The chunk that keeps every step within a few milliseconds.
local CHUNK = 500

local function run_key(id) return base .. ':run:' .. id end
local function wake() call('PUBLISH', base .. ':wake', '') end
