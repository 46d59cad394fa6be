"""What tests share: tiny recipes and runs, toy critics, images, crashes, browsers."""
