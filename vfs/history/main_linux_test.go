package history_test

import (
	"testing"

	"github.com/looming-project/looming/vfs/vfstest"
)

func TestMain(m *testing.M) { vfstest.Main(m) }
