-- A run that stood still, or of which jobs are tried again, is resolved again: what is now known of the users of its jobs.
--
-- The fields of a user are `key FS id FS address FS` and what was there before: those of the latter stay where an attempt of
-- ours may have applied, for an undo puts that back.
local function renewed(old, user, tries)
  if not tries then return user end
  local _, _, maybe = tries_head(tries)
  if maybe ~= '1' then return user end
  local who, before = '^[^\31]*\31[^\31]*\31[^\31]*\31', '^[^\31]*\31[^\31]*\31[^\31]*\31(.*)$'
  return match(user, who) .. match(old, before)
end

-- The user of a resolution, whichever kind it is of; nil where it names none.
local function user_fields(resolution)
  return match(resolution, '^C(.*)\31[^\31]*$') or match(resolution, '^S[^\31]*\31[^\31]*\31[^\31]*\31(.*)$')
end

-- The users of jobs that are tried again, as they were before attempts that may have applied (reopen.lua), in their order.
local function touched_users(run, seqs)
  if #seqs == 0 or call('EXISTS', run.key .. ':touched') == 0 then return {} end
  return call('HMGET', run.key .. ':touched', unpack(seqs))
end

-- A resolution with what was there before of such a user, where it is still the same; one that names nobody names him.
local function resolution_of_touched(touched, resolution)
  local settled = match(resolution, '^S[^\31]*\31[^\31]*\31[^\31]*')
  if settled == resolution then return resolution .. FS .. touched end
  local head = settled and settled .. FS or match(resolution, '^C')
  if not head then return resolution end
  local user = sub(resolution, #head + 1)
  if match(user, '^[^\31]*') ~= match(touched, '^[^\31]*') then return resolution end
  return head .. match(user, '^[^\31]*\31[^\31]*\31[^\31]*\31') .. match(touched, '^[^\31]*\31[^\31]*\31[^\31]*\31(.*)$')
end

-- A user that has got an id since is claimed by it.
local function claim_anew(run, seq, record, key)
  unclaim(run, record)
  local claims = call('HGET', base .. ':users', key)
  call('HSET', base .. ':users', key, claim_with(claims, run.adm, seq))
end

-- Where jobs wait in the queue, by index: again, alone or wait; nothing for those that are not in it.
local function queues_of(run, seqs)
  local queues = {}
  for _, name in ipairs({ 'again', 'alone', 'wait' }) do
    local scores = call('ZMSCORE', run.key .. ':' .. name, unpack(seqs))
    for i = 1, #seqs do
      if scores[i] then queues[i] = name end
    end
  end
  return queues
end

-- ARGV from 4 on names these seqs, each with its resolution. Jobs in flight or finished, and those that were settled before,
-- stay as they are.
local function resolve_again(run, seqs, found)
  if #seqs == 0 then return end
  local tries, queues, latest = tries_of(run, seqs), queues_of(run, seqs), {}
  for i = 1, #seqs do
    local seq, resolution = seqs[i], ARGV[3 + 2 * i]
    local record = latest[seq] or found[i]
    local request, old = match(record, '^([^\30]*)\30C([^\30]*)\31[^\31\30]*$')
    local queue = queues[i]
    if old and (queue or tonumber(seq) >= run.cursor) then
      if sub(resolution, 1, 1) == 'C' then
        local user = renewed(old, sub(resolution, 2), tries[i])
        local key = match(user, '^[^\31]*')
        if queue and key ~= match(old, '^[^\31]*') then claim_anew(run, seq, record, key) end
        latest[seq] = request .. RS .. 'C' .. user .. FS .. format('%d', now)
        put(run, seq, latest[seq])
      else
        local head = match(resolution, '^S([^\31]*\31[^\31]*\31[^\31]*)')
        local user = sub(resolution, #head + 3)
        user = user == '' and old or renewed(old, user, tries[i])
        if queue then
          unclaim(run, record)
          call('ZREM', run.key .. ':' .. queue, seq)
          add(run, 'queued', -1)
          latest[seq] = request .. RS .. 'C' .. user .. FS .. format('%d', now)
          conclude(run, seq, latest[seq], head, '', 0, tries[i])
          -- Said twice in one call, it is finished already.
          latest[seq] = RS
        else
          latest[seq] = request .. RS .. 'S' .. head .. FS .. user
          put(run, seq, latest[seq])
        end
      end
    end
  end
end
