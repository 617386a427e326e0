package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/client"
)

// declareTypes declares the types of the load: the general webhook, whose tasks name what
// they call, and types with an endpoint, which get that as their body.
func (r *Rig) declareTypes(ctx context.Context) error {
	r.Types = []client.Type{{Name: "webhook"}}
	for i := 1; i < r.Config.Types; i++ {
		t := client.Type{
			Name: fmt.Sprintf("load-%d", i), Handler: "webhook", Webhook: &client.Webhook{URL: r.Witness.URL("/")},
		}
		if err := r.PutType(ctx, t); err != nil {
			return err
		}
		r.Types = append(r.Types, t)
	}
	return nil
}

// PutType changes a type, by any API that answers. It is not over before one has.
func (r *Rig) PutType(ctx context.Context, t client.Type) error {
	var serving []*Node
	for _, n := range r.Nodes {
		if n.Serves() {
			serving = append(serving, n)
		}
	}
	for {
		api, err := client.New("http://" + serving[rand.IntN(len(serving))].Addr)
		if err != nil {
			return err
		}
		_, err = api.PutType(ctx, t)
		api.CloseIdleConnections()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("change the type: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
