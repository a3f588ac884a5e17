package remote

import (
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// A request with proofs is over no more ids and plain bytes than the server takes, and never over none.
func TestProvable(t *testing.T) {
	for _, tt := range []struct{ ids, size, want int }{
		{5, chunk.MaxSize, 5}, {4000, 100, proveIDs}, {4000, chunk.MaxSize, proveBytes / chunk.MaxSize}, {2, 2 * proveBytes, 1},
	} {
		plain := make([]byte, tt.size)
		if n := provable(make([]chunk.ID, tt.ids), func(chunk.ID) []byte { return plain }); n != tt.want {
			t.Errorf("%d of %d ids of %d bytes in one request, want %d", n, tt.ids, tt.size, tt.want)
		}
	}
}
