-- One command, whose key may hold anything at all.
return call(unpack(ARGV, 2))
