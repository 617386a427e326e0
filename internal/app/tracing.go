package app

import (
	"context"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// startTracing is for a program that ends with the teardown, which sends the last spans after all
// else has stopped.
func startTracing(ctx context.Context, cfg config.Shared, service string, end *teardown) (*telemetry.Tracing, error) {
	tracing, err := telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Endpoint: cfg.OTLPEndpoint, Protocol: cfg.OTLPProtocol,
		Service: service, Instance: telemetry.Instance(),
	}, end.log)
	if err != nil {
		return nil, err
	}
	end.add("send the last traces", tracing.Close)
	return tracing, nil
}
