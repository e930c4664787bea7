//go:build linux

package main

import "context"

// leastRuns is the fewest runs of which a median is taken.
const leastRuns = 5

// side does the work once and says what was measured.
type side func(ctx context.Context) (float64, error)

// turns runs the sides one after the other, round after round, so that what else the machine
// does meanwhile meets them alike. Every other round goes backwards: nobody always comes
// first.
func turns(ctx context.Context, rounds int, sides ...side) ([][]float64, error) {
	values := make([][]float64, len(sides))
	for round := range rounds {
		for i := range sides {
			if round%2 == 1 {
				i = len(sides) - 1 - i
			}
			value, err := sides[i](ctx)
			if err != nil {
				return nil, err
			}
			values[i] = append(values[i], value)
		}
	}
	return values, nil
}
