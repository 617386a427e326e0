package keyring

import "context"

// MissPace bounds how often unknown keys make a ring ask.
const MissPace = missPace

// Tell notes the use of keys now.
func (r *Ring) Tell(ctx context.Context) { r.tell(ctx) }
