-- What every function begins with: the account's prefix and the time.
--
-- KEYS[1]  usher:{account}: the account's own hash (token, admission, hold, hold_until) and the prefix of all its
--          other keys, so that all of them carry the same hash tag
-- ARGV[1]  now in ms, or '' in production: then the server's own TIME
--
-- The account's hash says which format it is in. One that a newer usher has taken up is refused from then on (TOONEW and its
-- number), so that nobody who was running then writes what he does not understand; one of an older format is taken up.
-- Formats: 2 notes since when a run stands still (`fresh`); 1 did not, and its runs count as standing still. 3 notes how a run is
-- ended (`ending`; before, a cancel was the only way) and lists the runs that are over (`ended`; those from before are listed
-- when the first one is to be forgotten), and what it keeps beside a run's jobs would be lost on an older usher.
--
-- All this is loaded once, as one library. What belongs to a call (KEYS, ARGV, base, now, and the libraries' own runs,
-- pages, standings) is set anew by `enter`, so that nothing is left of a call before, failed ones included.
-- What the server provides: not there yet while the library loads, so taken at the first call.
local call, floor, format, max, min, match, find, gmatch, sub, concat, sort, table_insert, table_remove
local tonumber, tostring, pairs, ipairs, next, unpack, pack_struct, unpack_struct
local function take_what_there_is()
  call, floor, max, min = redis.call, math.floor, math.max, math.min
  format, match, find, gmatch, sub = string.format, string.match, string.find, string.gmatch, string.sub
  concat, sort, table_insert, table_remove = table.concat, table.sort, table.insert, table.remove
  pack_struct, unpack_struct = struct.pack, struct.unpack
  tonumber, tostring, pairs, ipairs, next, unpack = _G.tonumber, _G.tostring, _G.pairs, _G.ipairs, _G.next, _G.unpack
end

local KEYS, ARGV, base, now
local runs, pages, standings
-- Between fields, between a record's parts, before what scripts add to an outcome, between the parts of a lease's reply.
local FS, RS, GS, LS = '\31', '\30', '\29', '\28'

-- Refusals, as reply.rs reads them.
local LAPSED, NO_RUN, WRONG_PHASE, TAKEN, INCOMPLETE, CONFLICT, NO_JOB, STOOD_STILL = -1, -2, -3, -4, -5, -6, -7, -8

local FORMAT = '3'

-- The chunk that keeps every step within a few milliseconds.
local CHUNK = 500

local function run_key(id) return base .. ':run:' .. id end
local function wake() call('PUBLISH', base .. ':wake', '') end

-- Makes a body the function of that name.
local function define(name, flags, body)
  redis.register_function({
    function_name = name,
    flags = flags,
    callback = function(keys, args)
      if not call then take_what_there_is() end
      KEYS, ARGV, base = keys, args, keys[1]
      now = tonumber(args[1])
      if not now then
        local time = call('TIME')
        now = time[1] * 1000 + floor(time[2] / 1000)
      end
      runs, pages, standings = {}, {}, {}
      local known = call('HGET', base, 'format')
      if known ~= FORMAT then
        if known and tonumber(known) > tonumber(FORMAT) then return redis.error_reply('TOONEW ' .. known) end
        call('HSET', base, 'format', FORMAT)
      end
      return body()
    end,
  })
end
