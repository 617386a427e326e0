package migrations

// NewFrom opens migrations of a test's own.
var NewFrom = newFrom
