package wspulse

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// A link whose callback was slow reads alone until one was quick. So do all links, for a while, when callbacks have held
// up others for more than a tenth of the time; those that read alone hold up nobody.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newQuietHub(0, 1, NoopCollector{})
		other, link := &link{hub: h}, &link{hub: h, worker: new(poll.Worker)}
		expect := func(when string, linkAlone, othersAlone bool) {
			t.Helper()
			if link.readsAlone() != linkAlone || other.readsAlone() != othersAlone {
				t.Errorf("%s: the link reads alone: %v, others: %v", when, link.readsAlone(), other.readsAlone())
			}
		}
		expect("at first", false, false)
		link.paced(slowCallback + 1)
		expect("after a slow callback", true, false)
		link.paced(slowCallback)
		expect("after a quick one", false, false)
		for range 100 {
			time.Sleep(stallShare * longestStall)
			link.paced(time.Hour)
			expect("after one that took all that it may", true, false)
		}
		link.worker = nil
		for range 100 {
			link.paced(time.Hour)
		}
		expect("after many that held up nobody", true, false)
		link.worker = new(poll.Worker)
		for range mostStalled / longestStall {
			link.paced(longestStall)
		}
		expect("after too many at once", true, true)
		time.Sleep(stallShare * mostStalled)
		expect("later", true, false)
	})
}
