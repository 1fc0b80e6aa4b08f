package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestScreenshot takes the picture of the page that the documents show, of a node
// with a minute behind it, and only if it is asked for.
func TestScreenshot(t *testing.T) {
	if *picture == "" {
		t.Skip("make screenshot asks for it")
	}
	n := r.Node(t, etcdtest.Start(t))
	n.Flags = []string{"--node", "node7", "--healthcheck.interval", "1s", "--healthcheck.retry_interval", "1s"}
	a := n.Start().AwaitReady()
	run := func(app, number string, flags ...string) *rig.Container {
		return n.RunNamed(app+"-web-"+number, append(flags, "--label=eru.app="+app, "--label=eru.entrypoint=web", rig.HTTP, health)...)
	}
	shop := run("shop", "1")
	run("shop", "2", "--env=MODE=slow=3ms")
	cart, search := run("cart", "1", "--env=MODE=slow=12ms"), run("search", "1")
	mail, feed := run("mail", "1"), run("feed", "1")
	n.RunNamed("cron-web-1", "--label=eru.app=cron", "--label=eru.entrypoint=web", "--label=eru.health.http.port=eighty")
	run("blog", "1", "--env=MODE=sick")
	for _, c := range []*rig.Container{shop, cart, search, mail, feed} {
		c.Await("healthy")
	}
	for _, change := range []func(){
		func() { shop.Behave("sick") },
		func() { shop.Behave("ok"); mail.Docker("pause"); cart.Behave("slow=80ms") },
		func() { cart.Behave("slow=8ms"); feed.Docker("kill") },
		func() { search.Behave("silent") },
	} {
		change()
		<-time.After(15 * time.Second) // what the picture shows is the past
	}
	b := open(t, start(t), a, ofUser("light"), chromedp.EmulateViewport(1280, 900))
	b.awaitState(search, "unhealthy")
	b.await(`document.getElementById("live").classList.contains("on")`)
	shot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if shot = squeeze(t, shot); len(shot) > 200<<10 {
		t.Errorf("the picture has %d bytes", len(shot))
	}
	if err := os.WriteFile(*picture, shot, 0o644); err != nil { //nolint:gosec // it is for everybody
		t.Fatal(err)
	}
}

// squeeze makes a picture smaller: of its 256 most frequent colours.
func squeeze(t *testing.T, picture []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	often := map[color.Color]int{}
	area := whole.Bounds()
	for y := range area.Dy() {
		for x := range area.Dx() {
			often[whole.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return often[b] - often[a] })
	few := image.NewPaletted(area, colours[:min(len(colours), 256)])
	draw.Draw(few, area, whole, area.Min, draw.Src)
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, few); err != nil {
		t.Fatal(err)
	}
	return small.Bytes()
}
