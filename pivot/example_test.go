package pivot_test

import (
	"fmt"

	"github.com/looming-project/looming/pivot"
)

func ExampleProgress_String() {
	const desk = "/x/desk"
	for _, p := range []pivot.Progress{
		{Target: desk, Step: pivot.Verifying},
		{Target: desk, Step: pivot.Pausing, Holders: []pivot.Holder{
			{PID: 123, Name: "vim", Use: pivot.HasOpen, Path: "/x/desk/a.txt"},
			{PID: 124, Name: "bash", Use: pivot.WorksIn, Path: "/x/desk/src"},
		}},
		{Target: desk, Step: pivot.Pausing, Holders: []pivot.Holder{{Use: pivot.MountsAt, Path: "/x/desk/proc"}}},
		{Target: desk, Step: pivot.Pausing, Holders: []pivot.Holder{{Use: pivot.Unseen, Path: desk}}},
	} {
		fmt.Println(p)
	}
	// Output:
	// /x/desk: verifying
	// waiting for vim (PID 123), which has /x/desk/a.txt open; and for bash (PID 124), which works in /x/desk/src
	// waiting for /x/desk/proc, which is mounted there: umount /x/desk/proc
	// waiting for something that uses /x/desk and cannot be seen from here (a program that is just opening a file, another user's, an exported directory); an administrator can look with: fuser -vm /x/desk
}

func ExampleRecovery_Advice() {
	l := pivot.Layout{Target: "/x/desk", Work: "/x/.desk.looming", Backing: "/x/.desk.looming/backing"}
	for stage := pivot.Nothing; stage < pivot.Unclear; stage++ {
		r := pivot.Recovery{Layout: l, Stage: stage, Why: "the login screen did not come"}
		fmt.Printf("%v: %s\n", stage, r.Advice())
	}
	// Output:
	// nothing: nothing is to be done
	// streaming: mount /x/.desk.looming/backing at /x/desk again and go on streaming
	// ready: the desktop is complete: pivot again, no mount is needed
	// switched: /x/desk is the desktop: pivot again to clear what is left in /x/.desk.looming
	// proving: /x/desk is the desktop: accept it to remove what was there before, or revert
	// reverting: the old desktop is wanted back: revert again
	// reverted: the old desktop is at /x/desk, because: the login screen did not come
}
