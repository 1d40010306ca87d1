local id, epoch, progress = unpack(ARGV)
if held(id, epoch) then redis.call('HSET', names.job .. id, 'progress', progress) end
