package chunk

import (
	"context"
	"fmt"
)

// A Source gives chunks by id. It may be called from several goroutines.
type Source interface {
	// Fetch calls got once for every id, in any order and never concurrently
	// within one call, with the chunk's verified plain bytes, valid until got
	// returns, or with an error for that id (ErrNotFound, ErrDamaged, or what
	// cut the link). An error from got ends the call and is returned; ids not
	// delivered by then are not reported. i is the index in ids.
	Fetch(ctx context.Context, ids []ID, got func(i int, plain []byte, err error) error) error
}

// Get fetches one chunk and returns its own copy of the bytes.
func Get(ctx context.Context, src Source, id ID) ([]byte, error) {
	var out []byte
	var failed error
	err := src.Fetch(ctx, []ID{id}, func(_ int, plain []byte, err error) error {
		if failed = err; err == nil {
			out = append(make([]byte, 0, len(plain)), plain...)
		}
		return nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fmt.Errorf("chunk %s: %w", id, ErrNotFound)
	}
	return out, nil
}

// Map is a Source held in memory, for tests and for what was just made.
type Map map[ID][]byte

// Put adds plain and returns its id.
func (m Map) Put(plain []byte) (ID, error) {
	id := Sum(plain)
	if _, ok := m[id]; !ok {
		m[id] = append([]byte{}, plain...)
	}
	return id, nil
}

// Fetch implements Source.
func (m Map) Fetch(ctx context.Context, ids []ID, got func(int, []byte, error) error) error {
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain, ok := m[id]
		var missing error
		if !ok {
			missing = fmt.Errorf("chunk %s: %w", id, ErrNotFound)
		}
		if err := got(i, plain, missing); err != nil {
			return err
		}
	}
	return nil
}
