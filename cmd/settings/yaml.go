package settings

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"
)

// yamlReader turns a file into settings, each with its line and column.
type yamlReader struct {
	loader *Loader
	path   string
	found  map[string]setting
	errs   []error
}

// parseYAML reads the keys of the schema from text; whatever else stands there
// is an error.
func (l *Loader) parseYAML(path string, text []byte) (map[string]setting, []error) {
	r := &yamlReader{loader: l, path: path, found: map[string]setting{}}
	file, err := parser.ParseBytes(bytes.TrimPrefix(text, []byte("\ufeff")), 0)
	if err != nil {
		return nil, []error{r.syntax(err)}
	}
	read := false
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if read {
			r.fail(doc.Body.GetToken(), "", "one YAML document, and no second one")
			break
		}
		read = true
		r.section("", doc.Body)
	}
	return r.found, r.errs
}

func (r *yamlReader) syntax(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return fmt.Errorf("%s: not well-formed YAML: %s", r.at(y.GetToken()), y.GetMessage())
	}
	return fmt.Errorf("%s: %w", r.path, err)
}

func (r *yamlReader) at(t *token.Token) string {
	return fmt.Sprintf("%s:%d:%d", r.path, t.Position.Line, t.Position.Column)
}

func (r *yamlReader) fail(t *token.Token, key, want string) { r.failGot(t, key, "", want) }

func (r *yamlReader) failGot(t *token.Token, key, got, want string) {
	if key == "" {
		key = "file"
	}
	r.errs = append(r.errs, &fault{where: r.at(t), key: key, got: got, want: want})
}

// said is what stands there instead of what is wanted, "" if that is obvious.
func said(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "keys and values"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "an anchor, alias or tag, none of which is read here"
	default:
		return ""
	}
}

// section reads a mapping; prefix is "" or ends in a dot.
func (r *yamlReader) section(prefix string, node ast.Node) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		if _, null := node.(*ast.NullNode); !null {
			r.failGot(node.GetToken(), strings.TrimSuffix(prefix, "."), said(node), "keys and values")
		}
		return
	}
	for entries := mapping.MapRange(); entries.Next(); {
		r.entry(prefix, entries.KeyValue())
	}
}

func (r *yamlReader) entry(prefix string, kv *ast.MappingValueNode) {
	name := kv.Key.GetToken().Value
	key := prefix + name
	switch {
	case strings.Contains(name, "."):
		r.fail(kv.Key.GetToken(), key, "the parts of a key one in the other, as etcd: {prefix: /eru}")
	case r.loader.schema.Lookup(key) != nil:
		r.value(key, kv)
	case r.isSection(key):
		r.section(key+".", kv.Value)
	default:
		r.unknown(key, kv.Key.GetToken())
	}
}

func (r *yamlReader) isSection(key string) bool {
	is := false
	r.loader.schema.VisitAll(func(f *pflag.Flag) { is = is || strings.HasPrefix(f.Name, key+".") })
	return is
}

func (r *yamlReader) unknown(key string, t *token.Token) {
	if instead, ok := r.loader.program.Former[key]; ok {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: a key of the former Eru agent, to be taken out: %s", r.at(t), key, instead))
		return
	}
	want := "a known key"
	if near := nearest(key, r.loader.schema, strings.ToLower); near != "" {
		want += ", perhaps " + near
	}
	r.fail(t, key, want)
}

func (r *yamlReader) value(key string, kv *ast.MappingValueNode) {
	node := kv.Value
	s := setting{where: r.at(node.GetToken())}
	switch n := node.(type) {
	case *ast.SequenceNode:
		s.list, s.words = true, []string{}
		for _, item := range n.Values {
			word, ok := scalar(item)
			if !ok {
				r.failGot(item.GetToken(), key, said(item)+" in a list", r.loader.wanted(r.loader.schema.Lookup(key)))
				return
			}
			s.words = append(s.words, word)
		}
	default:
		word, ok := scalar(node)
		if !ok {
			at := node.GetToken()
			if _, null := node.(*ast.NullNode); null {
				at = kv.Key.GetToken()
			}
			r.failGot(at, key, said(node), r.loader.wanted(r.loader.schema.Lookup(key)))
			return
		}
		s.words = []string{word}
	}
	r.found[key] = s
}

// scalar is the text of a plain value. Null is none: a key without a value is
// more likely forgotten than meant.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, true
	default:
		return "", false
	}
}
