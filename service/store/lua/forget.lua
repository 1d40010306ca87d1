local status = redis.call('HGET', names.job .. ARGV[1], 'status')
if status and status ~= 'queued' and status ~= 'running' then forget(ARGV[1]) end
