from qwen72b.cli import main

raise SystemExit(main())
