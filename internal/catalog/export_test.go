package catalog

// MissPace bounds how often unknown names make a catalog ask.
const MissPace = missPace
