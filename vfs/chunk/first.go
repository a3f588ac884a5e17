package chunk

import "context"

// First is a Source of two: near is asked before far, which is asked in one call
// for all that near does not give, whatever the reason. A nil near gives nothing.
func First(near, far Source) Source {
	if near == nil {
		return far
	}
	return &first{near, far}
}

type first struct{ near, far Source }

// Fetch implements Source.
func (f *first) Fetch(ctx context.Context, ids []ID, got func(int, []byte, error) error) error {
	given := make([]bool, len(ids))
	var refused error
	_ = f.near.Fetch(ctx, ids, func(i int, plain []byte, err error) error {
		if err != nil {
			return nil
		}
		given[i] = true
		refused = got(i, plain, nil)
		return refused
	})
	if refused != nil {
		return refused
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var rest []ID
	var at []int
	for i, ok := range given {
		if !ok {
			rest, at = append(rest, ids[i]), append(at, i)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return f.far.Fetch(ctx, rest, func(i int, plain []byte, err error) error { return got(at[i], plain, err) })
}
