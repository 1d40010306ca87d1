-- Whether a put with this key would join a known job: 1 or 0, or 'mismatch'.
local known, mismatch = joined(ARGV[2], ARGV[3])
return mismatch and 'mismatch' or (known and 1 or 0)
