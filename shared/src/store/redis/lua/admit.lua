-- Lets a resolved run begin: from here on its number counts.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run
-- replies  {0, number}, also if it was admitted before; {NO_RUN}; {WRONG_PHASE, phase}; {STOOD_STILL, phase}
-- keeps    admissions: number -> run, of those that were admitted; who counted users towards a day's cap counts no more
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase == 'a' or run.phase == 'f' then return { 0, run.adm } end
if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
if stood_still(run) then return { STOOD_STILL, run.phase } end
-- Sealed by a usher that numbered at the admission.
if not run.adm then set(run, 'adm', call('HINCRBY', base, 'admission', 1)) end
set(run, 'phase', 'a')
call('HSET', base .. ':admissions', run.adm, run.id)
call('ZADD', base .. ':active', place(run), run.id)
count_no_more(run)
save_runs()
wake()
return { 0, run.adm }
