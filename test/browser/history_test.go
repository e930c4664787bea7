package browser_test

import (
	"fmt"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// frame is what scrolls.
const frame = `document.querySelector(".history-frame")`

// climb scrolls up to the beginning of a room. It says which messages have moved although nobody scrolled, when older
// ones came above them.
const climb = `(async () => {
	const frame = ` + frame + `, moved = [];
	const frames = (n) => n === 0 ? undefined : new Promise(requestAnimationFrame).then(() => frames(n - 1));
	const top = () => frame.getBoundingClientRect().top;
	while (!document.body.innerText.includes("This is the beginning")) {
		frame.scrollTop -= 700;
		await frames(2);
		const seen = [...frame.querySelectorAll("[data-message]")].find((one) => one.getBoundingClientRect().top > top());
		const [id, was] = [seen.dataset.message, seen.getBoundingClientRect().top];
		for (let i = 0; i < 8; i++) {
			await frames(1);
			const there = [...frame.querySelectorAll("[data-message]")].find((one) => one.dataset.message === id);
			const now = there?.getBoundingClientRect().top;
			if (now === undefined || Math.abs(now - was) > 2) { moved.push(there?.innerText + " by " + (now - was)); break; }
		}
	}
	return moved;
})()`

func TestHistoryDoesNotJumpWhenOlderMessagesCome(t *testing.T) {
	h, browser := begin(t)
	chronicler, student := h.member(t, "chronicler"), h.member(t, "student")
	chronicler.room(t, "chronicle", student)
	for i := range 120 {
		chronicler.say(t, "chronicle", fmt.Sprintf("In the year %d nothing much happened here.", i+1))
	}

	page := signIn(t, browser, h, "chronicler")
	goTo(page, "chronicle")
	page.See("In the year 120 nothing")
	if moved := chromiumtest.Eval[[]string](page, climb); len(moved) != 0 {
		t.Errorf("messages moved while older ones came: %v", moved)
	}
	page.See("In the year 1 nothing")

	// Who reads what was is not taken away from it, and is told what is new.
	place := chromiumtest.Eval[float64](page, frame+`.scrollTop`)
	student.say(t, "chronicle", "Now something happens.")
	page.Find("button", "new message")
	if now := chromiumtest.Eval[float64](page, frame+`.scrollTop`); now != place {
		t.Errorf("the history was scrolled from %g to %g when a message came", place, now)
	}
	page.Click("button", "new message")
	page.See("New messages", "Now something happens.")
	page.Lacks("button", "new message")

	// Who is at the end stays there.
	for i := range 5 {
		student.say(t, "chronicle", fmt.Sprintf("And more of it, %d.", i))
	}
	page.See("And more of it, 4.")
	page.Eventually("the end is in sight", func() bool {
		return chromiumtest.Eval[float64](page, frame+`.scrollHeight - `+frame+`.scrollTop - `+frame+`.clientHeight`) < 2
	})
	page.Lacks("button", "new message")
}
