package wheel

// What the tests look at from outside.
var (
	ParseClaim = parseClaim
	ParseTurn  = parseTurn
	ShardOf    = shardOf
)

// Page is the most tasks that one script call takes.
const Page = page
