"""Child process of the benchmark: `grantledger serve` with the sign-only route beside the rest."""

import sys
from pathlib import Path

from api.logging_setup import configure_logging
from api.server import serve
from application.settings import load_settings

if __name__ == "__main__":
    folder, port, workers, algorithm = sys.argv[1:]
    configure_logging("warning")
    serve(
        load_settings(
            data_dir=Path(folder),
            port=int(port),
            workers=int(workers),
            signing_algorithms=(algorithm,),
            log_level="warning",
            rate_limit_authorize_per_address="",  # all of its people share one address
            rate_limit_failed_authentication_per_address="",  # and so do those it refuses
        ),
        announce=lambda _: None,
        target="tests.benchmarks.sign_only:application",
    )
