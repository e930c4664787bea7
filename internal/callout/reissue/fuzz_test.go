package reissue

import "testing"

// FuzzPushed: whatever a server answers to a push, it took the JWT only if it says so.
func FuzzPushed(f *testing.F) {
	f.Add([]byte(`{"server":{"id":"S"},"data":{"account":"A","code":200,"message":"jwt updated"}}`))
	f.Add([]byte(`{"server":{"id":"S"},"error":{"account":"A","code":500,"description":"no"}}`))
	f.Add([]byte(`{"data":{"code":200},"error":{"code":500,"description":"no"}}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if code, _ := pushed(answer); code == 200 && len(answer) < len(`{"data":{"code":200}}`) {
			t.Errorf("%q counts as taken", answer)
		}
	})
}

func TestAPushIsTakenWhereTheServerSaysSo(t *testing.T) {
	for answer, want := range map[string]int{
		`{"data":{"code":200}}`: 200, `{"error":{"code":500,"description":"no"}}`: 0, `{"data":{"code":200},"error":{"code":500}}`: 0, `{}`: 0, ``: 0,
	} {
		if code, _ := pushed([]byte(answer)); code != want {
			t.Errorf("%q: %d, want %d", answer, code, want)
		}
	}
}
