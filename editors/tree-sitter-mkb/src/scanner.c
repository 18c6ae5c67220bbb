// Which newlines end a statement: those that are followed by neither `}`, `else` nor the end of the file. Those in `(` and `[`
// and behind `{` are never asked for. src/syntax/layout.rs is the same rule for the compiler.

#include "tree_sitter/parser.h"

enum TokenType { NEWLINE };

static bool is_space(int32_t c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool is_word(int32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool at_else(TSLexer *lexer) {
  for (const char *c = "else"; *c; c++) {
    if (lexer->lookahead != *c) return false;
    lexer->advance(lexer, false);
  }
  return !is_word(lexer->lookahead);
}

void *tree_sitter_mkb_external_scanner_create(void) { return NULL; }

void tree_sitter_mkb_external_scanner_destroy(void *payload) { (void)payload; }

unsigned tree_sitter_mkb_external_scanner_serialize(void *payload, char *buffer) {
  (void)payload;
  (void)buffer;
  return 0;
}

void tree_sitter_mkb_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
  (void)payload;
  (void)buffer;
  (void)length;
}

bool tree_sitter_mkb_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid_symbols) {
  (void)payload;
  if (!valid_symbols[NEWLINE]) return false;
  while (is_space(lexer->lookahead)) lexer->advance(lexer, true);
  if (lexer->lookahead != '\n') return false;
  lexer->advance(lexer, false);
  lexer->mark_end(lexer);
  lexer->result_symbol = NEWLINE;

  // What stands next, behind empty lines and comments, decides.
  for (;;) {
    while (is_space(lexer->lookahead) || lexer->lookahead == '\n') lexer->advance(lexer, false);
    if (lexer->lookahead != '/') break;
    lexer->advance(lexer, false);
    if (lexer->lookahead != '/') return true;
    while (lexer->lookahead != '\n' && !lexer->eof(lexer)) lexer->advance(lexer, false);
  }
  return !lexer->eof(lexer) && lexer->lookahead != '}' && !at_else(lexer);
}
