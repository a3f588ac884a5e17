package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/lib/pq"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/chunk"
)

// Chunk is where a chunk lies.
type Chunk struct {
	Serial uint64
	Pack   int32
	// Offset is of its record in the pack; Length is the frame's, Plain the chunk's.
	Offset, Length, Plain uint32
	// Absent says that it counts as missing: damaged, or in a condemned pack.
	Absent bool
}

// indexEntries enters the chunks of a pack and returns the serial of each. A chunk that is there keeps its serial, and
// its place too unless it is damaged or condemned. Rows are locked in the order of ids, so that uploads of the same
// chunks do not wait for each other in a circle; serials are given in the order of the pack, so that sets stay small.
func indexEntries(ctx context.Context, tx *sql.Tx, pack int32, entries []sis.Entry) ([]uint64, error) {
	first, ids, at := distinct(entries)
	rs, err := tx.QueryContext(ctx, `
		insert into chunks as c (serial, pack_id, pack_off, frame_len, plain_len, id_a, id_b)
		select serial, $1::int, off, len, plain, a, b from (
			select nextval('chunk_serials') as serial, u.*
			from unnest($2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::int[]) as u (a, b, off, len, plain) offset 0
		) as fresh order by a
		on conflict (id_a) do update set pack_id = excluded.pack_id, pack_off = excluded.pack_off,
			frame_len = excluded.frame_len, plain_len = excluded.plain_len
		where c.id_b = excluded.id_b
			and (c.plain_len < 0 or exists (select 1 from packs p where p.id = c.pack_id and p.state = 2))
		returning pack_off, serial`,
		pack, halves(ids, 0), halves(ids, half), pq.Array(at.off), pq.Array(at.len), pq.Array(at.plain))
	if err != nil {
		return nil, err
	}
	byOffset, err := offsets(rs, len(entries))
	if err != nil {
		return nil, err
	}
	return resolve(ctx, tx, entries, first, byOffset)
}

type columns struct{ off, len, plain []int32 }

// distinct leaves out what stands twice in a pack: first is the index of each entry's first.
func distinct(entries []sis.Entry) (first []int, ids []chunk.ID, c columns) {
	seen := make(map[chunk.ID]int, len(entries))
	first = make([]int, len(entries))
	for i := range entries {
		e := &entries[i]
		j, twice := seen[e.ID]
		if first[i] = j; twice {
			continue
		}
		first[i], seen[e.ID] = i, i
		ids = append(ids, e.ID)
		c.off, c.len, c.plain = append(c.off, int32(e.Offset)), append(c.len, int32(e.Length)), append(c.plain, int32(e.Plain))
	}
	return first, ids, c
}

// half is where an id is cut in two.
const half = len(chunk.ID{}) / 2

// halves binds one half of each id, from byte from on, as an array of uuid.
func halves(ids []chunk.ID, from int) string {
	b := make([]byte, 0, 2+(2*half+1)*len(ids))
	b = append(b, '{')
	for i := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, ids[i][from:from+half])
	}
	return string(append(b, '}'))
}

// putHalf reads a uuid as Postgres writes it into one half of an id.
func putHalf(dst, text []byte) error {
	var digits [2 * half]byte
	n := 0
	for _, c := range text {
		if c != '-' && n < len(digits) {
			digits[n] = c
			n++
		}
	}
	if _, err := hex.Decode(dst, digits[:n]); err != nil || n != len(digits) {
		return fmt.Errorf("half an id: %q", text)
	}
	return nil
}

func offsets(rs *sql.Rows, n int) (map[uint32]uint64, error) {
	defer rs.Close()
	m := make(map[uint32]uint64, n)
	for rs.Next() {
		var off uint32
		var serial uint64
		if err := rs.Scan(&off, &serial); err != nil {
			return nil, err
		}
		m[off] = serial
	}
	return m, rs.Err()
}

// resolve finds the serials of entries that were there before.
func resolve(ctx context.Context, tx *sql.Tx, entries []sis.Entry, first []int, byOffset map[uint32]uint64) ([]uint64, error) {
	serials := make([]uint64, len(entries))
	var old []chunk.ID
	for i := range entries {
		s, fresh := byOffset[entries[i].Offset]
		if serials[i] = s; !fresh && first[i] == i {
			old = append(old, entries[i].ID)
		}
	}
	found := map[chunk.ID]Chunk{}
	if len(old) > 0 {
		rs, err := tx.QueryContext(ctx, lookup, halves(old, 0))
		if err != nil {
			return nil, err
		}
		if err := scanChunks(rs, found); err != nil {
			return nil, err
		}
	}
	for i := range entries {
		if first[i] != i {
			serials[i] = serials[first[i]]
		} else if _, fresh := byOffset[entries[i].Offset]; !fresh {
			c, ok := found[entries[i].ID]
			if !ok {
				return nil, fmt.Errorf("chunk %s was neither entered nor found", entries[i].ID)
			}
			serials[i] = c.Serial
		}
	}
	return serials, nil
}

// selectChunks is all about chunks, as scanChunks reads it.
const selectChunks = `
	select id_a, id_b, serial, pack_id, pack_off, frame_len, case when plain_len < 0 then ~plain_len else plain_len end,
		plain_len < 0 or pack_id in (select p.id from packs p where p.state = 2)
	from chunks `

const lookup = selectChunks + `where id_a = any($1::uuid[])`

func scanChunks(rs *sql.Rows, into map[chunk.ID]Chunk) error {
	defer rs.Close()
	var a, b sql.RawBytes
	for rs.Next() {
		var id chunk.ID
		var c Chunk
		if err := rs.Scan(&a, &b, &c.Serial, &c.Pack, &c.Offset, &c.Length, &c.Plain, &c.Absent); err != nil {
			return err
		}
		if err := errors.Join(putHalf(id[:half], a), putHalf(id[half:], b)); err != nil {
			return err
		}
		into[id] = c
	}
	return rs.Err()
}

// Chunks finds chunks; those that are unknown are left out.
func (db *DB) Chunks(ctx context.Context, ids []chunk.ID) (map[chunk.ID]Chunk, error) {
	found := make(map[chunk.ID]Chunk, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	rs, err := db.sql.QueryContext(ctx, lookup, halves(ids, 0))
	if err != nil {
		return nil, fault("look up chunks", err)
	}
	return found, fault("look up chunks", scanChunks(rs, found))
}

// ChunksOfPacks finds all chunks of these packs.
func (db *DB) ChunksOfPacks(ctx context.Context, packs []int32) (map[chunk.ID]Chunk, error) {
	rs, err := db.sql.QueryContext(ctx, selectChunks+`where pack_id = any($1)`, pq.Array(packs))
	if err != nil {
		return nil, fault("look up packs", err)
	}
	found := map[chunk.ID]Chunk{}
	return found, fault("look up packs", scanChunks(rs, found))
}

// MarkDamaged notes chunks of one pack as damaged, or as whole again, as long as they still lie there. It reports how
// many changed.
func (db *DB) MarkDamaged(ctx context.Context, pack int32, ids []chunk.ID, damaged bool) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	return db.exec(ctx, "mark damaged chunks", `
		update chunks set plain_len = ~plain_len
		where id_a = any($2::uuid[]) and pack_id = $1 and (plain_len < 0) <> $3`, pack, halves(ids, 0), damaged)
}

// Absent lists the serials of all chunks that count as missing although they are in the index.
func (db *DB) Absent(ctx context.Context) ([]uint64, error) {
	return rows(ctx, db, "list absent chunks", func(rs *sql.Rows) (s uint64, err error) {
		return s, rs.Scan(&s)
	}, `select serial from chunks where plain_len < 0
		union all select c.serial from packs p join chunks c on c.pack_id = p.id where p.state = 2`)
}

// Damaged lists the damaged chunks.
func (db *DB) Damaged(ctx context.Context) (map[uint64]chunk.ID, error) {
	rs, err := db.sql.QueryContext(ctx, selectChunks+`where plain_len < 0`)
	if err != nil {
		return nil, fault("list damaged chunks", err)
	}
	found := map[chunk.ID]Chunk{}
	if err := scanChunks(rs, found); err != nil {
		return nil, fault("list damaged chunks", err)
	}
	m := make(map[uint64]chunk.ID, len(found))
	for id, c := range found {
		m[c.Serial] = id
	}
	return m, nil
}
