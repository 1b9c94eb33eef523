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

local reopened, lowest = 0, run.next
for i = 1, #seqs do
  local record = found[i]
  local request, resolution, outcome = match(record or '', '^([^\30]*)\30([^\30]*)\30(.+)$')
  local letter = outcome and sub(outcome, 1, 1)
  if letter and letter ~= 'a' and letter ~= 'y' then
    unclaim(run, record)
    local attempt, began, ended, maybe = last_attempt(outcome)
    if attempt then
      note(run, seqs[i], tries[i], attempt, 0, 0, maybe, began, ended)
      tries[i] = call('HGET', run.key .. ':tries', seqs[i])
    end
    if tries[i] then
      call('HSET', run.key .. ':tries', seqs[i], '0,0' .. match(tries[i], '^%d+,%d+(.*)$'))
    end
    local user = user_fields(resolution)
    if user and tries[i] then
      local _, _, may_have = tries_head(tries[i])
      if may_have == '1' then call('HSET', run.key .. ':touched', seqs[i], user) end
    end
    put(run, seqs[i], request)
    run.outcomes[letter] = (run.outcomes[letter] or 0) - 1
    reopened = reopened + 1
    lowest = min(lowest, tonumber(seqs[i]))
  end
end
-- None of them is to be tried again: a run that is over stays so.
if reopened == 0 then return { 0, 0 } end
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
