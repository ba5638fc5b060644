// lint checks a Grafana dashboard: its schema, by Grafana's own types, and the PromQL of its panels and variables, by Prometheus' own
// parser.
//
//	lint DASHBOARD.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	dataquery "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/prometheus/promql/parser"
)

var (
	// A variable of Grafana, in place of a span of time or within a matcher.
	interval = regexp.MustCompile(`\$__\w+`)
	variable = regexp.MustCompile(`\$\w+`)
	// A query of a variable: the values of a label of some series.
	labelValues = regexp.MustCompile(`^label_values\((.+), *\w+\)$`)
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: lint DASHBOARD.json")
		os.Exit(2)
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	faults := append(schemaFaults(raw), ownFaults(raw)...)
	for _, fault := range faults {
		fmt.Printf("%s: %s\n", os.Args[1], fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// schemaFaults are fields that are unknown, missing or out of bounds.
func schemaFaults(raw []byte) []string {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(dataquery.VariantConfig())

	strict := dashboard.Dashboard{}
	faults := messages(strict.UnmarshalJSONStrict(raw))
	// Again, since a part that the strict way has looked at is not always kept.
	board := dashboard.Dashboard{}
	if err := json.Unmarshal(raw, &board); err != nil {
		return append(faults, err.Error())
	}
	return append(faults, messages(board.Validate())...)
}

// messages of an error of these types, whose empty list is an error that is not nil.
func messages(err error) []string {
	if err == nil {
		return nil
	}
	var list cog.BuildErrors
	if !errors.As(err, &list) {
		return []string{err.Error()}
	}
	texts := make([]string, 0, len(list))
	for _, one := range list {
		texts = append(texts, one.Error())
	}
	return texts
}

// ownFaults are what no schema says: panels that are not understood here, two of one id, and PromQL that does not parse.
func ownFaults(raw []byte) []string {
	var board struct {
		Panels []struct {
			ID          int    `json:"id"`
			Type        string `json:"type"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Targets     []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Name       string `json:"name"`
				Type       string `json:"type"`
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		return []string{err.Error()}
	}
	var faults []string
	seen := map[int]string{}
	for _, panel := range board.Panels {
		if other, ok := seen[panel.ID]; ok {
			faults = append(faults, fmt.Sprintf("panel %q has the id of %q", panel.Title, other))
		}
		seen[panel.ID] = panel.Title
		if panel.Type == "row" {
			continue
		}
		if _, ok := cog.ConfigForPanelcfgVariant(panel.Type); !ok {
			faults = append(faults, fmt.Sprintf("panel %q: type %s is not registered in this program", panel.Title, panel.Type))
		}
		if panel.Description == "" || len(panel.Targets) == 0 {
			faults = append(faults, fmt.Sprintf("panel %q has no description or no query", panel.Title))
		}
		for _, target := range panel.Targets {
			if err := parses(target.Expr); err != nil {
				faults = append(faults, fmt.Sprintf("panel %q: %v", panel.Title, err))
			}
		}
	}
	for _, one := range board.Templating.List {
		if one.Type != "query" {
			continue
		}
		selector := labelValues.FindStringSubmatch(one.Definition)
		if selector == nil {
			faults = append(faults, fmt.Sprintf("variable %s: %q is not label_values(series, label)", one.Name, one.Definition))
		} else if err := parses(selector[1]); err != nil {
			faults = append(faults, fmt.Sprintf("variable %s: %v", one.Name, err))
		}
	}
	return faults
}

func parses(expr string) error {
	plain := variable.ReplaceAllString(interval.ReplaceAllString(expr, "5m"), "x")
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(plain); err != nil {
		return fmt.Errorf("%s: %w", expr, err)
	}
	return nil
}
