// The program: everything it does is in kvt_cli, which the tests link too.
#include "kvt/cli/app.h"

int main(int argc, char ** argv) { return kvt::cli::run(argc, argv); }
