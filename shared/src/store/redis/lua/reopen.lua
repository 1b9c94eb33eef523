-- Has finished jobs of a run that is over tried again, as if they had never been resolved.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3.. seqs, at most 500
-- replies  {0, how many are tried again}; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    of a job there stays its request and what is in its tries: the attempt that ended it goes there, what was spent and
--          the deaths begin anew, and whether one may have applied is still known, as is what its user was before; its claim on
--          its user is taken back. The run is sealed and paused, and keeps its number
-- bounded  by 500 jobs
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local over = is_over(run)
if not over and not (run.phase == 's' and run.paused and not run.cancelled) then return { WRONG_PHASE, run.phase } end
local seqs, named = {}, {}
for i = 3, #ARGV do
  if not named[ARGV[i]] then
    named[ARGV[i]] = true
    seqs[#seqs + 1] = ARGV[i]
  end
end
local found, tries = records(run, seqs), tries_of(run, seqs)

-- The attempt that ended a job, with its begin and end, and '1' where it may have reached the vendor; nil where none did.
local function last_attempt(outcome)
  local attempt = match(match(outcome, '^[^\29]*'), '^[^\31]*\31[^\31]*\31[^\31]*\31([^\31].*)$')
  if not attempt then return nil end
  local began, took, calls, verdict = match(attempt, '^(%-?%d+)\31(%-?%d+)\31(%d+)\31[^\31]*\31(%u)')
  began = tonumber(began)
  local maybe = verdict == 'L' or (verdict == 'X' and calls ~= '0')
  return attempt, began, began + tonumber(took), maybe and '1' or '0'
end

-- The tries of a job whose budget begins anew, the attempt that ended it among them; and whether one may have applied.
local function tries_anew(old, attempt, began, ended, maybe)
  local was, first, last, listed, rest, _ = '0', 0, 0, 0, '', nil
  if old then
    _, _, was, first, last, listed = tries_head(old)
    rest = match(old, '^[^\30]*(.*)$')
  end
  if attempt then
    if listed == 0 then first = began end
    last, listed, rest = ended, listed + 1, rest .. RS .. attempt
  end
  if maybe == '1' then was = '1' end
  return concat({ 0, 0, was, first, last, listed }, ',') .. rest, was == '1'
end

local reopened, lowest, users, anew, touched = 0, run.next, {}, {}, {}
for i = 1, #seqs do
  local seq, record = seqs[i], found[i]
  local request, resolution, outcome = match(record or '', '^([^\30]*)\30([^\30]*)\30(.+)$')
  local letter = outcome and sub(outcome, 1, 1)
  if letter and letter ~= 'a' and letter ~= 'y' then
    users[#users + 1] = user_of(record)
    local attempt, began, ended, maybe = last_attempt(outcome)
    if attempt or tries[i] then
      local text, may_have = tries_anew(tries[i], attempt, began, ended, maybe)
      anew[#anew + 1] = seq
      anew[#anew + 1] = text
      local user = may_have and user_fields(resolution)
      if user then
        touched[#touched + 1] = seq
        touched[#touched + 1] = user
      end
    end
    put(run, seq, request)
    run.outcomes[letter] = (run.outcomes[letter] or 0) - 1
    reopened = reopened + 1
    lowest = min(lowest, tonumber(seq))
  end
end
-- None of them is to be tried again: a run that is over stays so.
if reopened == 0 then return { 0, 0 } end
if #users > 0 and run.adm then drop_claims(users, { [tostring(run.adm)] = true }) end
if #anew > 0 then call('HSET', run.key .. ':tries', unpack(anew)) end
if #touched > 0 then call('HSET', run.key .. ':touched', unpack(touched)) end
if over then
  call('ZREM', base .. ':ended', run.id)
  set(run, 'phase', 's')
  run.paused, run.cancelled, run.ended, run.unresolved, run.cursor = true, false, 0, 0, run.next
  run.fresh = 0
  call('HDEL', run.key, 'fresh', 'ending', 'note_ending', 'note_held', 'note_approval')
  call('ZADD', base .. ':active', place(run), run.id)
end
run.changed = true
run.done, run.pending, run.unresolved = run.done - reopened, run.pending + reopened, run.unresolved + reopened
run.cursor = min(run.cursor, lowest)
save_jobs()
save_runs()
return { 0, reopened }
