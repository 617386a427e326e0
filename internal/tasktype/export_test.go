package tasktype

// Public is public, for its table of addresses.
var Public = public
