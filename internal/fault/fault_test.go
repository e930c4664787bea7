package fault_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
)

func TestAFaultSaysItsSentenceAndKeepsItsCause(t *testing.T) {
	for what, row := range map[string]struct {
		err   *fault.Error
		text  string
		cause error
	}{
		"new":                    {fault.New(fault.NotFound, "no such room"), "no such room", nil},
		"new, formatted":         {fault.New(fault.Taken, "%q is taken", "alice"), `"alice" is taken`, nil},
		"new, with a cause":      {fault.New(fault.Malformed, "body: %w", io.EOF), "body: EOF", io.EOF},
		"new, a cause as text":   {fault.New(fault.Malformed, "body: %v", io.EOF), "body: EOF", nil},
		"wrapped":                {fault.Wrap(fault.Unavailable, io.EOF, "try again"), "try again", io.EOF},
		"wrapped, formatted":     {fault.Wrap(fault.Expired, io.EOF, "after %d days", 3), "after 3 days", io.EOF},
		"wrapped around nothing": {fault.Wrap(fault.Internal, nil, "a defect"), "a defect", nil},
	} {
		if row.err.Error() != row.text || errors.Unwrap(row.err) != row.cause {
			t.Errorf("%s: %q, caused by %v", what, row.err, errors.Unwrap(row.err))
		}
		if row.cause != nil && !errors.Is(row.err, row.cause) {
			t.Errorf("%s: its cause is not found", what)
		}
	}
}

func TestAFaultKeepsAllItsCauses(t *testing.T) {
	err := fault.New(fault.Malformed, "%w: %w", io.EOF, fs.ErrNotExist)
	for _, cause := range []error{io.EOF, fs.ErrNotExist} {
		if !errors.Is(err, cause) {
			t.Errorf("%v is lost", cause)
		}
	}
}

func TestTheCodeIsTheNearestFaults(t *testing.T) {
	expired := fault.New(fault.Expired, "too late")
	for what, row := range map[string]struct {
		err  error
		want fault.Code
	}{
		"no error":              {nil, ""},
		"an error without code": {io.EOF, fault.Internal},
		"a fault":               {expired, fault.Expired},
		"a fault inside":        {fmt.Errorf("request: %w", expired), fault.Expired},
		"a fault in a fault":    {fault.Wrap(fault.Refused, expired, "no"), fault.Refused},
		"a fault among errors":  {errors.Join(io.EOF, expired), fault.Expired},
	} {
		if got := fault.CodeOf(row.err); got != row.want {
			t.Errorf("%s: %q, want %q", what, got, row.want)
		}
		if row.err != nil && (!fault.Is(row.err, row.want) || fault.Is(row.err, fault.Taken)) {
			t.Errorf("%s: Is does not agree", what)
		}
	}
	if fault.Is(nil, "") || fault.Is(nil, fault.Internal) {
		t.Error("no error carries a code")
	}
}

func TestAFaultIsFoundByItsType(t *testing.T) {
	var f *fault.Error
	err := fmt.Errorf("request: %w", fault.New(fault.TooLarge, "more than 512 KiB"))
	if !errors.As(err, &f) || f.Code != fault.TooLarge || f.Message != "more than 512 KiB" {
		t.Errorf("%+v", f)
	}
}
