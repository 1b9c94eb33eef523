-- Appends to the audit, or seals entries of it.
--
-- KEYS[1]  usher:{_audit}, a tag that is no account's: its hash has last (the last entry's number), sealed and seal (the last
--          sealed entry's)
-- ARGV     1 now; 2 tell | seal; tell: 3 the event in JSON; seal: 3 the number and 4 the seal of the last sealed entry, 0 and '' where
--          there is none, 5.. the seals of those that follow, at most 500
-- replies  tell: {0, the entry's number}; seal: {0}; {1} where the last sealed entry is another, or there are not so many to be
--          sealed
-- keeps    numbers have no gaps; an entry is `at FS event`, never written again, in pages of 4,096; a seal is written once, after
--          the one before it: who sends one again after its reply was lost finds another head
-- bounded  by 500 seals
local function page_of(what, number) return base .. ':' .. what .. ':' .. floor(number / PAGE) end

if ARGV[2] == 'tell' then
  local number = call('HINCRBY', base, 'last', 1)
  call('HSET', page_of('entries', number), number, format('%d', now) .. FS .. ARGV[3])
  return { 0, number }
end
local known = call('HMGET', base, 'last', 'sealed', 'seal')
local last, sealed, seal = tonumber(known[1]) or 0, tonumber(known[2]) or 0, known[3] or ''
local before, count = tonumber(ARGV[3]), #ARGV - 4
if sealed ~= before or seal ~= ARGV[4] or sealed + count > last then return { 1 } end
if count == 0 then return { 0 } end
for i = 1, count do call('HSET', page_of('seals', sealed + i), sealed + i, ARGV[4 + i]) end
call('HSET', base, 'sealed', sealed + count, 'seal', ARGV[#ARGV])
return { 0 }
