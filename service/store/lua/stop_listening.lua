-- Do not wake a worker any more; wake another in its place where it has been woken already.
for i = 3, #ARGV do
  if call('ZREM', names.listeners .. ARGV[i], ARGV[2]) == 0 then wake(ARGV[i]) end
end
