/*
 * ptb_rules.c: the Penn Treebank rules of the caption metrics' tokenizer, in order of precedence.
 *
 * The language is that of Stanford's PTBTokenizer at CoreNLP 3.4.1 in its default options, as found
 * from its behaviour; what each rule is for stands beside it.  Pattern syntax: lexer.h.  Literals
 * match any case, [sets] do not.  The longest match wins, right context included; among equals the
 * first rule.
 */
#include "metrics/ptb_rules.h"

const struct lexer_macro ptb_macros[] = {
    {"APOS", "(['\\u0092\\u2019]|&apos;)"},
    {"APOSX", "(<APOS>|[`\\u0091\\u2018\\u201B])"},
    {"SP", "[ \\t\\u00A0\\u2000-\\u200A\\u3000]"},
    {"NL", "(\\r\\n?|[\\n\\u000B\\u000C\\u0085\\u2028\\u2029])"},
    {"SPNL", "(<SP>|<NL>)"},
    {"HYPH", "[-_\\u058A\\u2010\\u2011]"},
    /* letter, digit, alphanumeric */
    {"L", "(\\L|\\M|\\u00AD|&[aeiouAEIOU](acute|grave|uml);)"},
    {"AN", "(\\L|\\D)"},
    {"WORD", "<L>(<L>|\\D)*([.!?]<L>(<L>|\\D)*)*"},
    {"CLITIC", "<APOS>(m|s|d|re|ve|ll)"},
    {"NT", "n<APOSX>t"},
    {"PAUSE", "[,;:\\u3001]"},
    {"NAME", "[A-Za-z][A-Za-z0-9_:.-]*"},
    {"TAG", "(\\<([!?][A-Za-z-][^>\\r\\n]*"
            "|<NAME>( +<NAME>( *= *('[^']*'|\"[^\"]*\"))?)* */?|/<NAME>) *>)"},
    {"URLPATH", "(/[^ \\t\\n\\f\\r\"<>|(){}]+[^ \\t\\n\\f\\r\"<>|.!?(){},-])?"},
    {"ACROPAIR", "(non|Canada|Sino|Korean|EU|Japan)-U\\.S|U\\.S\\.-U\\.K|U\\.S\\.-U\\.S\\.S\\.R"},
    {"ACRO", "([A-Za-z](\\.[A-Za-z])*|<ACROPAIR>)"},
    {"ACRO2", "([A-Za-z](\\.[A-Za-z])+|<ACROPAIR>)"},
    /* words that begin a sentence after an acronym */
    {"BEGIN", "([A](bout|ccording|dditionally|fter|n|s|t|)|[B]ut|[E]arlier|[H](e|er|ere|owever)"
              "|[I][fnt]|[L]ast|[M](any|ore|r\\.|s\\.)|[N]ow|[O](nce|ne|ther|ur)"
              "|[S](he|ince|o|ome|uch)|[T](hat|he|heir|hen|here|hese|hey|his)"
              "|[W](e|hen|hile|hat)|[Y](et|ou))"},
    {"MONTH", "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"},
    {"DAY", "Mon|Tues?|Wed|Thu|Thurs|Fri"},
    {"STATE", "Ala|Ariz|[A]z|[A]rk|Calif|Colo|Conn|Ct|Dak|[D]el|Fla|Ga|[I]ll|Ind|Kans?|Ky|[L]a"
              "|[M]ass|Md|Mich|Minn|[M]iss|Mo|Mont|Neb|Nev|Okla|[O]re|[P]a|Penn|Tenn|[T]ex|Va|Vt"
              "|[W]ash|Wisc?|Wyo"},
    {"FIRM", "Inc|Cos?|Corp|Ptys?|Ptes?|Pys?|Pes?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys"},
    {"ABBREV1", "(<MONTH>|<DAY>|<STATE>|<FIRM>|tel|est|ext|sq|Jr|Sr|Bros|Ed\\.D|Ph\\.D|Blvd|Rd|Esq"
                "|etc|al|seq|Bldg)"},
    {"TITLE", "Mr|Mrs|Ms|[M]iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj"
              "|Sgt|Cpl|Pvt|Capt|Ste?|Ave|Pres|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj"
              "|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc"},
    {"ABBREV2", "(<TITLE>|vs|Alex|Wm|Jos|Cie|a\\.k\\.a|cf|TREAS|Ph|Invt|Elec|Natl|M[ft]g|Dept"
                "|<ACRO>)"},
    {"EXTENSION", "(bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf"
                  "|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"},
    {"HYPHENATED", "[A-Za-z0-9][A-Za-z0-9.,\\u00AD]*(-([A-Za-z0-9\\u00AD]+|<ACRO2>\\.))+"},
    {"PART", "([dol]<APOSX>)?<AN>+"},
    {NULL, NULL}};

const struct ptb_rule ptb_rules[] = {
    /* names of languages; words that are two */
    {"c\\+\\+|c#|f#", NULL, PTB_KEEP, 0, NULL},
    {"cannot", NULL, PTB_SPLIT, 3, NULL},
    {"'twas", NULL, PTB_SPLIT, 2, NULL},
    {"'tis", NULL, PTB_SPLIT, 2, NULL},
    {"gonna|gotta|lemme|gimme|wanna", NULL, PTB_SPLIT, 3, NULL},
    {"<TAG>", NULL, PTB_TAG, 0, NULL},
    /* dashes and entities */
    {"&(MD|mdash|ndash);|[\\u0096\\u0097\\u2013-\\u2015]", NULL, PTB_TEXT, 0, "--"},
    {"&amp;", NULL, PTB_TEXT, 0, "&"},
    {"&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);", NULL, PTB_KEEP, 0, NULL},
    /* words, apart from their clitics */
    {"<WORD>", "<CLITIC>", PTB_WORD, 0, NULL},
    {"[A-Za-z\\u00AD]*[A-MO-Za-mo-z]\\u00AD*", "<NT>", PTB_WORD, 0, NULL},
    {"<WORD>", NULL, PTB_WORD, 0, NULL},
    /* words with an apostrophe in them */
    {"<APOS>n<APOS>?|[ldj]<APOS>|(dunkin|somethin|ol)<APOS>|<APOS>em"
     "|[A-HJ-XZn]<APOSX>\\L{2}\\L*|<APOS>[2-9]0s|<APOS>till?"
     "|\\L+[aeiouyAEIOUY]<APOSX>[aeiouA-Z]\\L*|<APOS>cause|cont'd\\.?"
     "|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|O<APOSX>o",
     NULL, PTB_KEEP, 0, NULL},
    {"y<APOS>", "\\L", PTB_KEEP, 0, NULL},
    /* addresses */
    {"https?://[^ \\t\\n\\f\\r\"<>|(){}]+[^ \\t\\n\\f\\r\"<>|.!?(){},-]", NULL, PTB_KEEP, 0, NULL},
    {"(www\\.([^ \\t\\n\\f\\r\"<>|.!?(){},]+\\.)+[A-Za-z]{2,4}"
     "|([^ \\t\\n\\f\\r\"`'<>|.!?(){},-_$]+\\.)+(com|net|org|edu))<URLPATH>",
     NULL, PTB_KEEP, 0, NULL},
    {"(\\<|&lt;)?[A-Za-z0-9][^ \\t\\n\\f\\r\"<>|(){}\\u00A0]*@"
     "([^ \\t\\n\\f\\r\"<>|(){}.\\u00A0]+\\.)*[^ \\t\\n\\f\\r\"<>|(){}\\[\\].,;:\\u00A0]+(>|&gt;)?",
     NULL, PTB_KEEP, 0, NULL},
    {"@[A-Za-z_][A-Za-z_0-9]*|#<L>+", NULL, PTB_KEEP, 0, NULL},
    /* clitics by themselves */
    {"<CLITIC>", "[^A-Za-z]", PTB_QUOTES, 0, NULL},
    {"<NT>", "[^A-Za-z]", PTB_QUOTES, 0, NULL},
    /* dates and numbers */
    {"\\D{1,2}[-/]\\D{1,2}[-/]\\D{2,4}", NULL, PTB_KEEP, 0, NULL},
    {"[-+]?(\\D+|\\D*([.:,\\u00AD\\u066B\\u066C]\\D+)+)"
     "|[\\u207A\\u207B\\u208A\\u208B]?([\\u2070\\u00B9\\u00B2\\u00B3\\u2074-\\u2079]+"
     "|[\\u2080-\\u2089]+)",
     NULL, PTB_WORD, 0, NULL},
    {"(\\D{1,4}[- \\u00A0])?\\D{1,4}(\\\\?/|\\u2044)\\D{1,4}", NULL, PTB_TAG, 0, NULL},
    {"\\u00BC", NULL, PTB_TEXT, 0, "1/4"},
    {"\\u00BD", NULL, PTB_TEXT, 0, "1/2"},
    {"\\u00BE", NULL, PTB_TEXT, 0, "3/4"},
    {"\\u2153", NULL, PTB_TEXT, 0, "1/3"},
    {"\\u2154", NULL, PTB_TEXT, 0, "2/3"},
    {"[\\u2155-\\u215E]", NULL, PTB_KEEP, 0, NULL},
    /* odds and ends of the treebank */
    {"-(RRB|LRB|RCB|LCB|RSB|LSB)-|C\\.D\\.s|pro-|anti-|S(&|&amp;)P-500|S(&|&amp;)Ls"
     "|Cap<APOS>n|c<APOS>est",
     NULL, PTB_AMPERSAND, 0, NULL},
    {"<AN>+(-\\L+){0,2}(\\\\?/<AN>+(-\\L+){0,2}){1,2}", NULL, PTB_KEEP, 0, NULL},
    /* currencies */
    {"[A-Z]*\\$|#", NULL, PTB_KEEP, 0, NULL},
    {"\\u00A2", NULL, PTB_TEXT, 0, "cents"},
    {"\\u00A3", NULL, PTB_TEXT, 0, "#"},
    {"[\\u0080\\u00A4\\u20A0\\u20AC]", NULL, PTB_TEXT, 0, "$"},
    /* abbreviations, which may end a sentence */
    {"<ACRO>\\.", "<SPNL>+(<BEGIN>|<TAG>)<SPNL>", PTB_ACRONYM_END, 0, NULL},
    {"(ca|figs?|prop|nos?|art|bldg|pp?|op)\\.", "<SPNL>?\\D", PTB_KEEP, 0, NULL},
    {"(pty|pte|co)\\.", "<SP>(ltd|lim)", PTB_KEEP, 0, NULL},
    {"<ABBREV1>\\.", "<SPNL>(<SPNL>|[A-Z]|<TAG>)", PTB_ABBREV_END, 0, NULL},
    {"<ABBREV1>\\.", "[^][^]", PTB_KEEP, 0, NULL},
    {"<ABBREV1>\\.", NULL, PTB_ABBREV_END, 0, NULL},
    {"<ABBREV2>\\.", NULL, PTB_KEEP, 0, NULL},
    {"<ABBREV2>", "<SP>", PTB_KEEP, 0, NULL},
    {"<ACRO>", "<SPNL>", PTB_KEEP, 0, NULL},
    /* years, file names, words whose period does not end a sentence */
    {"<APOS>\\D\\D", "<SPNL>", PTB_KEEP, 0, NULL},
    {"(<L>|\\D)+(\\.(<L>|\\D)+)*\\.<EXTENSION>", "<SPNL>|[.?!,]", PTB_KEEP, 0, NULL},
    {"<WORD>\\.", "<PAUSE>", PTB_WORD, 0, NULL},
    /* telephone numbers */
    {"(\\([0-9]{2,3}\\)[ \\u00A0]?|(\\+\\+?)?([0-9]{2,4}[- \\u00A0])?[0-9]{2,4}[- \\u00A0])"
     "[0-9]{3,4}[- \\u00A0]?[0-9]{3,5}"
     "|((\\+\\+?)?[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}",
     NULL, PTB_PHONE, 0, NULL},
    /* straight quotes and angles */
    {"\"|&quot;", "[A-Za-z0-9$]", PTB_TEXT, 0, "``"},
    {"\"|&quot;", NULL, PTB_TEXT, 0, "''"},
    {"\\u007F", NULL, PTB_SKIP, 0, NULL},
    {"\\<|&lt;", NULL, PTB_TEXT, 0, "<"},
    {">|&gt;", NULL, PTB_TEXT, 0, ">"},
    /* faces */
    {"[<>]?[:;=][-o*']?[()DPdpO\\\\{@|\\[\\]]", "[^A-Za-z0-9]", PTB_SMILEY, 0, NULL},
    {"[-^x=~<>']_[-^x=~<>']|\\([-^x=~<>'][_.]?[-^x=~<>']\\)|\\([-^x=~<>']-[-^x=~<>'`]\\)", NULL,
     PTB_SMILEY, 0, NULL},
    {"\\(", NULL, PTB_TEXT, 0, "-LRB-"},
    {"\\)", NULL, PTB_TEXT, 0, "-RRB-"},
    {"\\{", NULL, PTB_TEXT, 0, "-LCB-"},
    {"\\}", NULL, PTB_TEXT, 0, "-RCB-"},
    {"\\[", NULL, PTB_TEXT, 0, "-LSB-"},
    {"\\]", NULL, PTB_TEXT, 0, "-RSB-"},
    /* runs of punctuation */
    {"-+", NULL, PTB_HYPHENS, 0, NULL},
    {"\\.{3,5}|(\\.[ \\u00A0]){2,4}\\.|[\\u0085\\u2026]", NULL, PTB_TEXT, 0, "..."},
    {"@+|#+|_+|\\*+|(\\\\\\*){1,3}|<PAUSE>|[?!]+|\\.|=|/", NULL, PTB_KEEP, 0, NULL},
    /* words joined by hyphens and other signs */
    {"<HYPHENATED>\\.", "<PAUSE>", PTB_WORD, 0, NULL},
    {"<HYPHENATED>", NULL, PTB_WORD, 0, NULL},
    {"<PART>(<HYPH><PART>)*", NULL, PTB_KEEP, 0, NULL},
    {"[A-Z]+(([+&]|&amp;)[A-Z]+)+", NULL, PTB_AMPERSAND, 0, NULL},
    /* quotes */
    {"'", "[A-Za-z][^ \\t\\n\\r\\u00A0]", PTB_TEXT, 0, "`"},
    {"<CLITIC>", NULL, PTB_QUOTES, 0, NULL},
    {"<NT>", NULL, PTB_QUOTES, 0, NULL},
    {"<APOS>|''|[`\\u0091-\\u0094\\u2018-\\u201F\\u2039\\u203A\\u00AB\\u00BB]{1,2}", NULL,
     PTB_QUOTES, 0, NULL},
    {"\\<\\<|>>", NULL, PTB_KEEP, 0, NULL},
    /* what is left */
    {"\\S", NULL, PTB_KEEP, 0, NULL},
    {"<NL>", NULL, PTB_NEWLINE, 0, NULL},
    {"<SP>|&nbsp;|[^]", NULL, PTB_SKIP, 0, NULL},
};

const int ptb_rule_count = sizeof ptb_rules / sizeof *ptb_rules;
